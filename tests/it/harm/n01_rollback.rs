//! Where a rollback goes: never to a version that was aborted, and not back and forth.
