"""The AMI connection against a scripted peer: framing, questions, pulse, resync, who keeps which PBX."""
