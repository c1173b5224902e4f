//! Answers given while the client still sends are heard.
