SELECT enterprise, secret FROM directory_hooks WHERE secret = $1
