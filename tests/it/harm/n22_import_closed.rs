//! What protected a location under nginx stays closed.
