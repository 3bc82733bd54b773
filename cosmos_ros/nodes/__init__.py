"""ROS 2 nodes: parameters, topics and timers. What they decide is decided in the rooms without ROS."""
