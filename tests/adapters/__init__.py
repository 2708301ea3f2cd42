"""One test file for each module of ``adapters/``, against real parts where they are cheap: PostgreSQL, the sandbox, sockets."""
