"""Recordings in and out: rosbag2 reader and writer, player, recorder, LeRobot import and export."""
