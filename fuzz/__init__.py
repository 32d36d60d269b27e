"""What the fuzzer and the property tests share: lines of any kind, and what must hold of them."""
