DELETE FROM click_book WHERE at_ms < $1
