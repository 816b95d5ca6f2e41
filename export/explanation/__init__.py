"""Why a network votes as it does, as pictures beside the raw image."""
