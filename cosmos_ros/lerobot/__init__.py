"""LeRobot v3 datasets: import to and export from rosbag2."""
