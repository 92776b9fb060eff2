"""What a picture is besides its pixels: what its file holds, black and white of deep ones, and copies of others."""
