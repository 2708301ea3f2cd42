SELECT word FROM key_check FOR UPDATE
