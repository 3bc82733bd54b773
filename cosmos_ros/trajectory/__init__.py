"""Piecewise polynomials as a JointTrajectoryController runs them, and the splicing of one motion into another."""
