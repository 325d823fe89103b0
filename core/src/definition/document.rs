//! The document as users write it, in both spellings, before anything is known to be right about it.
