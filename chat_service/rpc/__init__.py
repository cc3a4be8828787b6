"""What knows protobuf: a servicer a proto service; it parses, calls one rule, and renders."""
