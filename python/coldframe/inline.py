"""TEMPORARY."""
def encode(value, format, strict=False): raise NotImplementedError
def decode(data, reference): raise NotImplementedError
