"""What is seen of the devices: a trace of steps, and whether what is computed fits into their memory."""
