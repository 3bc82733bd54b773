# ROS 2 Jazzy with cosmos_ros built by colcon. Every RUN step is one of scripts/image.sh, which 'make docker-steps' runs
# without Docker.
#   docker build -t cosmos_ros .                     weightless models, simulator, guard
#   docker build -t cosmos_ros --build-arg GPU=1 .   with torch and diffusers (CUDA)
#   docker run --rm -it --network host --ipc host cosmos_ros ros2 launch cosmos_ros demo.launch.py
ARG ROS_DISTRO=jazzy
FROM ros:${ROS_DISTRO}-ros-base

ARG GPU=0
ARG UID=1100
ENV DEBIAN_FRONTEND=noninteractive PREFIX=/opt/cosmos_ros

# The system's packages first: they change least.
WORKDIR /ws/src/cosmos_ros
COPY scripts/common.sh scripts/image.sh scripts/
RUN scripts/image.sh system

# Python packages that have no apt package, in an environment that sees ROS 2 and apt's packages.
COPY package.xml setup.py setup.cfg ./
COPY resource resource
COPY scripts scripts
COPY constraints constraints
COPY cosmos_ros/__init__.py cosmos_ros/version.py cosmos_ros/
RUN scripts/image.sh python
RUN GPU=${GPU} scripts/image.sh gpu

COPY . .
RUN scripts/image.sh build
RUN UID_=${UID} scripts/image.sh user

USER cosmos
WORKDIR /home/cosmos
ENTRYPOINT ["/opt/cosmos_ros/entrypoint.sh"]
CMD ["ros2", "launch", "cosmos_ros", "predict.launch.py"]
