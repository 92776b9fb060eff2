"""WHERE pretrained arrays come from: a file here is a weight source, `read(spec, ...) -> Published`."""
