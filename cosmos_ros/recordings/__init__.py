"""Recordings: rosbag2 reader and writer, message types, offline replay, player and recorder."""
