//! The URLs in other shapes.
