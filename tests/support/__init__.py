"""What the integration tests share: real servers on free loopback ports, in folders of their own."""
