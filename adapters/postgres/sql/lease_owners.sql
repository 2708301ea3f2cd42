SELECT o.enterprise, o.node FROM owners o JOIN nodes n ON n.id = o.node WHERE n.expires_at > now()
