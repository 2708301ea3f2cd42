SELECT call, until > clock_timestamp() AS in_force FROM callback_holds WHERE enterprise = $1
