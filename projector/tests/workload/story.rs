//! Everything that can happen, at random.
