//! `kill -9` of the shipped station at each message.
