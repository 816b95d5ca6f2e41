"""The processes that a supervisor keeps: started, listened to, watched and ended."""
