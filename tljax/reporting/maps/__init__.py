"""Maps of classes on the host: how right they are."""
