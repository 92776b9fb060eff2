"""Weight sources, one file each: it defines `read(spec, ...) -> Published`."""
