//! The place of the daemon's REST API and web interface; what they show lies in `app`.
