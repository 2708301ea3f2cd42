INSERT INTO click_book (enterprise, click, extension, number, uid, at_ms) VALUES ($1, $2, $3, $4, $5, $6)
