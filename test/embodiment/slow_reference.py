"""A second, slow, obvious implementation of the action formulas, in plain Python numbers.

Nothing of the package is used, not even its YAML files: constants and statistics are typed in from the data classes'
documentation. Matrices are lists of rows; every product is a sum that is written out.
"""

from __future__ import annotations

import math

# name: blocks in column order. ("pose", link, 4x4 from link to action frame) or ("grip", name, closed, open, row).
RZ_PLUS = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
RZ_MINUS = [[0, 1, 0], [-1, 0, 0], [0, 0, 1]]
UNIT = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
BRIDGE = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
FRACTAL_TILT = [
    [0.9999897671, -0.0008686425, 0.0044397163, -0.0050618476],
    [0.0008745501, 0.9999987346, -0.0013288658, -0.0016717725],
    [-0.0044385564, 0.0013327349, 0.9999892615, -0.1635144743],
    [0, 0, 0, 1],
]


def pose_matrix(rotation, translation=(0.0, 0.0, 0.0)):
    return [[*[float(v) for v in rotation[i]], float(translation[i])] for i in range(3)] + [[0.0, 0.0, 0.0, 1.0]]


def product(a, b):
    return [[sum(a[i][k] * b[k][j] for k in range(4)) for j in range(4)] for i in range(4)]


def inverse(t):
    rotation = [[t[j][i] for j in range(3)] for i in range(3)]
    moved = [-sum(rotation[i][k] * t[k][3] for k in range(3)) for i in range(3)]
    return pose_matrix(rotation, moved)


def about(axis, angle):
    c, s = math.cos(angle), math.sin(angle)
    return {
        "x": [[1, 0, 0], [0, c, -s], [0, s, c]],
        "y": [[c, 0, s], [0, 1, 0], [-s, 0, c]],
        "z": [[c, -s, 0], [s, c, 0], [0, 0, 1]],
    }[axis]


def rotation_product(a, b):
    return [[sum(a[i][k] * b[k][j] for k in range(3)) for j in range(3)] for i in range(3)]


def euler_pose(x, y, z, a, b, c):
    """Position, and angles about the fixed axes x, then y, then z."""
    return pose_matrix(rotation_product(about("z", c), rotation_product(about("y", b), about("x", a))), (x, y, z))


DROID = (
    [-0.0142, -0.013416, -0.015206, 0.998459, -0.047659, -0.034774, -0.047609, 0.998428, -0.035553, 0],
    [0.014515, 0.011517, 0.01452, 1, 0.047596, 0.03466, 0.047654, 1, 0.038888, 1],
)
ROBOMIND = (
    [-0.065029, -0.030683, -0.075321, 0.981664, -0.137429, -0.069593, -0.14022, 0.976885, -0.140399, 0],
    [0.068546, 0.036309, 0.051772, 1, 0.14029, 0.079942, 0.137529, 1, 0.113651, 1],
)
UR = (
    [-0.050087, -0.032055, -0.045222, 0.986554, -0.114343, -0.074432, -0.128455, 0.982298, -0.132509, 0],
    [0.040385, 0.036577, 0.032376, 1, 0.129744, 0.095558, 0.11508, 1, 0.121987, 1],
)
WIDOWX = (
    [-0.038884, -0.028667, -0.03784, 0.976292, -0.163098, -0.081545, -0.160193, 0.976322, -0.078872, 0],
    [0.039722, 0.029068, 0.026702, 1, 0.160195, 0.081655, 0.163227, 1, 0.095189, 1],
)
FRACTAL = (
    [-0.039816, -0.04927, -0.056266, 0.983667, -0.134543, -0.107048, -0.126518, 0.977277, -0.091363, 0],
    [0.04386, 0.050352, 0.072505, 1, 0.127404, 0.107273, 0.13414, 1, 0.179731, 1],
)
UMI = (
    [-0.035246, -0.037122, -0.035762, 0.98405, -0.108706, -0.065188, -0.110908, 0.982889, -0.085106, 0],
    [0.038095, 0.033082, 0.032447, 1, 0.110573, 0.068087, 0.108972, 1, 0.089037, 0.096749],
)
AGIBOT = (
    [
        -0.000167,
        -0.007272,
        -0.014935,
        0.999999,
        -0.000306,
        -0.000594,
        -0.00026,
        0.999227,
        -0.025516,
        -0.012912,
        -0.017163,
        -0.017614,
        0.994613,
        -0.064506,
        -0.053231,
        -0.066267,
        0.994383,
        -0.051163,
        0,
        -0.01164,
        -0.015508,
        -0.01388,
        0.996511,
        -0.050126,
        -0.040305,
        -0.04733,
        0.996618,
        -0.038303,
        0,
    ],
    [
        0.000164,
        0.004822,
        0.013706,
        1,
        0.00024,
        0.000703,
        0.000278,
        1,
        0.03009,
        0.013182,
        0.01696,
        0.016101,
        1,
        0.066268,
        0.053905,
        0.064357,
        1,
        0.052547,
        1,
        0.01089,
        0.015347,
        0.012968,
        1,
        0.047482,
        0.042217,
        0.050173,
        1,
        0.041428,
        1,
    ],
)
DUAL = (
    [
        -0.051367,
        -0.031964,
        -0.046482,
        0.988101,
        -0.053179,
        -0.128603,
        -0.075432,
        0.994427,
        -0.059973,
        0,
        -0.035108,
        -0.021212,
        -0.029788,
        0.986086,
        -0.098043,
        -0.111441,
        -0.093441,
        0.991492,
        -0.05803,
        0,
    ],
    [
        0.043729,
        0.021737,
        0.036738,
        1,
        0.075612,
        0.102791,
        0.053223,
        1,
        0.077057,
        1,
        0.047581,
        0.02127,
        0.025712,
        1,
        0.095525,
        0.126049,
        0.098778,
        1,
        0.041914,
        0.995443,
    ],
)


def one_arm(link, frame, row="k", closed=0.0, opened=1.0):
    return [("pose", link, frame), ("grip", "gripper", closed, opened, row)]


REFERENCE = {
    "franka": (one_arm("panda_link8", pose_matrix(RZ_PLUS)), DROID),
    "franka_exterior": (one_arm("panda_link8", pose_matrix(RZ_PLUS)), DROID),
    "franka_fr3": (one_arm("fr3_link8", pose_matrix(RZ_PLUS)), DROID),
    "franka_robomind": (one_arm("panda_link8", pose_matrix(RZ_PLUS)), ROBOMIND),
    "franka_fr3_robomind": (one_arm("fr3_link8", pose_matrix(RZ_PLUS)), ROBOMIND),
    "franka_dual": (
        [
            ("pose", "left_panda_link8", pose_matrix(RZ_PLUS)),
            ("grip", "left_gripper", 0.0, 1.0, "k"),
            ("pose", "right_panda_link8", pose_matrix(RZ_PLUS)),
            ("grip", "right_gripper", 0.0, 1.0, "k"),
        ],
        DUAL,
    ),
    **{f"ur{size}": (one_arm("tool0", pose_matrix(UNIT)), UR) for size in ("3e", "5e", "10e", "16e", "20", "30")},
    "widowx250s": (
        one_arm("ee_gripper_link", product(pose_matrix(UNIT, (-0.093575, 0, 0)), pose_matrix(BRIDGE))),
        WIDOWX,
    ),
    "agibot_g1": (
        [
            ("pose", "head_camera_link", pose_matrix(UNIT)),
            ("pose", "gripper_r_base_link", pose_matrix(RZ_PLUS)),
            ("grip", "right_gripper", 0.0, 1.0, "k+1"),
            ("pose", "gripper_l_base_link", pose_matrix(RZ_MINUS)),
            ("grip", "left_gripper", 0.0, 1.0, "k+1"),
        ],
        AGIBOT,
    ),
    "umi": (one_arm("camera", pose_matrix(UNIT, (0, 0.086, 0.09)), "k+1", 0.0, 0.11), UMI),
    "google_robot": (one_arm("link_gripper_tcp", product(FRACTAL_TILT, pose_matrix(RZ_MINUS))), FRACTAL),
    "av": ([("pose", "camera", pose_matrix(UNIT))], 1.35),
    "camera_pose": ([("pose", "camera", pose_matrix(UNIT))], 1.0),
}


def encode(name, poses, openings):
    """Return (physical rows, normalised rows before the clamp, after the clamp) of T + 1 states.

    ``poses``: link → list of 4x4. ``openings``: gripper → list of fractions, 0 closed, 1 open.
    """
    blocks, statistics = REFERENCE[name]
    states = len(next(iter(poses.values())))
    physical, normalised, clamped = [], [], []
    for k in range(states - 1):
        row = []
        for block in blocks:
            if block[0] == "pose":
                now = product(poses[block[1]][k], block[2])
                then = product(poses[block[1]][k + 1], block[2])
                delta = product(inverse(now), then)
                row += [delta[0][3], delta[1][3], delta[2][3]]
                row += [delta[0][0], delta[1][0], delta[2][0]]
                row += [delta[0][1], delta[1][1], delta[2][1]]
            else:
                _, gripper, closed, opened, convention = block
                fraction = openings[gripper][k if convention == "k" else k + 1]
                row.append(closed + fraction * (opened - closed))
        physical.append(row)
        if isinstance(statistics, float):
            scaled = [value * (statistics if column % 9 < 3 else 1.0) for column, value in enumerate(row)]
            normalised.append(scaled)
            clamped.append(scaled)
        else:
            low, high = statistics
            scaled = [2.0 * (row[i] - low[i]) / (high[i] - low[i]) - 1.0 for i in range(len(row))]
            normalised.append(scaled)
            clamped.append([min(1.0, max(-1.0, value)) for value in scaled])
    return physical, normalised, clamped


def motion(name, states=9):
    """Return smooth, repeatable poses and openings for every link and gripper of an embodiment."""
    blocks, _ = REFERENCE[name]
    poses, openings = {}, {}
    for index, block in enumerate(blocks):
        if block[0] == "pose":
            poses[block[1]] = [
                euler_pose(
                    0.4 + 0.03 * math.sin(0.31 * k + index),
                    0.1 * index + 0.02 * math.cos(0.27 * k),
                    0.5 + 0.004 * k - 0.01 * math.sin(0.5 * k + index),
                    2.9 + 0.05 * math.sin(0.2 * k + index),
                    -0.05 + 0.04 * math.cos(0.3 * k),
                    -0.2 * index + 0.03 * k,
                )
                for k in range(states)
            ]
        else:
            openings[block[1]] = [0.5 + 0.45 * math.cos(0.4 * k + index) for k in range(states)]
    return poses, openings
