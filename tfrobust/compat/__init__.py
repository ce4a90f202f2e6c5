"""Where the supported versions of Keras and TensorFlow differ, and what they keep private.

No other package asks for a version or touches a private name: `tests/contracts/test_compat.py`.
"""
