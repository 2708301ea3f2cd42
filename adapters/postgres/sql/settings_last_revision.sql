SELECT revision, fingerprint FROM settings_revisions WHERE enterprise = $1 AND NOT inline ORDER BY revision DESC LIMIT 1
