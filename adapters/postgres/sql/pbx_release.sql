DELETE FROM pbx_claims WHERE node = $1
