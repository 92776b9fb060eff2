"""Details of pictures: what their files hold, black and white of deep pictures, and copies."""
