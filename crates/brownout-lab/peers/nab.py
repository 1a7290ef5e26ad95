"""Runs one Python peer over busy series: rows come as JSON, a score for every row goes back.

Usage: nab.py PEER SECONDS < rows.json > scores.json

Exit 3: the peer's package is not there. After SECONDS of processor time the process is ended. No peer is
told which rows are labelled, and none sees a row before it scores the ones before it, except where a
package can only be fitted at once: those are fitted on the probation rows alone.
"""

import json
import math
import resource
import signal
import sys

try:
    import numpy as np
except ImportError:
    sys.exit(3)

# Rows of a lag window where a peer wants one.
LAGS = 8
# Rows that the matrix profile compares, and remembers at most.
PATTERN_ROWS = 24
HISTORY_ROWS = 4096


def river_half_space_trees(seconds, values, probation):
    from river import anomaly, compose, preprocessing

    model = compose.Pipeline(preprocessing.MinMaxScaler(), anomaly.HalfSpaceTrees(seed=1, window_size=250))
    return online(model, [{"value": value, "time": float(at % 86400)} for at, value in zip(seconds, values)])


def river_gaussian(seconds, values, probation):
    from river import anomaly

    scorer = anomaly.GaussianScorer(window_size=None, grace_period=50)
    scores = []
    for value in values:
        scores.append(scorer.score_one(None, value))
        scorer.learn_one(None, value)
    return scores


def river_one_class_svm(seconds, values, probation):
    from river import anomaly, compose, preprocessing

    model = compose.Pipeline(preprocessing.StandardScaler(), anomaly.OneClassSVM(nu=0.05))
    return online(model, lag_rows(values))


def online(model, rows):
    scores = []
    for row in rows:
        scores.append(model.score_one(row))
        model.learn_one(row)
    return scores


def lag_rows(values):
    padded = [values[0]] * (LAGS - 1) + list(values)
    return [{str(lag): padded[row + lag] for lag in range(LAGS)} for row in range(len(values))]


def adtk_persist(seconds, values, probation):
    """How far a value lies from the median of the rows before it, in the aggregates that PersistAD uses."""
    from adtk.transformer import DoubleRollingAggregate

    steps = DoubleRollingAggregate(agg="median", window=(LAGS, 1), center=False, diff="l1")
    return beyond_quartiles(adtk_transform(steps, values), probation)


def adtk_level_shift(seconds, values, probation):
    """The difference of medians of two windows side by side, in the aggregates that LevelShiftAD uses."""
    from adtk.transformer import DoubleRollingAggregate

    steps = DoubleRollingAggregate(agg="median", window=LAGS, center=False, diff="l1")
    return beyond_quartiles(adtk_transform(steps, values), probation)


def adtk_quartiles(seconds, values, probation):
    """How many interquartile ranges a value lies outside of the probation's, as InterQuartileRangeAD."""
    return beyond_quartiles(np.asarray(values, dtype=float), probation)


def adtk_transform(steps, values):
    import pandas as pd

    # Rows stand in for times: adtk wants them regular, and some series are not.
    index = pd.date_range("2000-01-01", periods=len(values), freq="5min")
    return steps.transform(pd.Series(values, index=index, dtype=float)).to_numpy()


def beyond_quartiles(statistic, probation):
    """Distance outside of the probation's quartiles, in interquartile ranges: adtk's own rule, graded."""
    known = statistic[:probation]
    low, high = np.nanpercentile(known, [25, 75])
    width = max(high - low, 1e-9 * max(abs(low), abs(high), 1.0))
    return np.fmax(np.maximum(statistic - high, low - statistic) / width, 0.0)


def stumpy_left_profile(seconds, values, probation):
    """The distance of the latest pattern to the nearest one before it: an incremental matrix profile."""
    import stumpy

    values = np.asarray(values, dtype=float)
    begin = max(probation, 2 * PATTERN_ROWS)
    profile = stumpy.stumpi(values[:begin], m=PATTERN_ROWS, egress=False, normalize=False)
    scores = np.zeros(len(values))
    for row in range(begin, len(values)):
        if len(profile.T_) >= HISTORY_ROWS:
            kept = profile.T_[-HISTORY_ROWS // 2 :]
            profile = stumpy.stumpi(kept, m=PATTERN_ROWS, egress=False, normalize=False)
        profile.update(values[row])
        scores[row] = profile.left_P_[-1]
    # Distances mean something only beside the series' own spread.
    return scores / max(np.std(values[:begin]), 1e-9)


def pyod_on_lags(make):
    def scores(seconds, values, probation):
        windows = np.array([list(row.values()) for row in lag_rows(values)], dtype=float)
        spread = max(np.std(windows[:probation]), 1e-9)
        windows = (windows - np.mean(windows[:probation])) / spread
        model = make()
        model.fit(windows[:probation])
        return model.decision_function(windows)

    return scores


def knn():
    from pyod.models.knn import KNN

    return KNN(n_neighbors=5)


def ecod():
    from pyod.models.ecod import ECOD

    return ECOD()


def isolation_forest():
    from pyod.models.iforest import IForest

    return IForest(random_state=1)


PEERS = {
    "river-half-space-trees": river_half_space_trees,
    "river-gaussian": river_gaussian,
    "river-one-class-svm": river_one_class_svm,
    "adtk-persist": adtk_persist,
    "adtk-level-shift": adtk_level_shift,
    "adtk-quartiles": adtk_quartiles,
    "stumpy-left-profile": stumpy_left_profile,
    "pyod-knn": pyod_on_lags(knn),
    "pyod-ecod": pyod_on_lags(ecod),
    "pyod-isolation-forest": pyod_on_lags(isolation_forest),
}


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in PEERS:
        sys.exit(f"usage: nab.py {'|'.join(PEERS)} SECONDS")
    # Both end the process, also inside of compiled code: the limit on a machine that is busy with something
    # else as on one that is not, the alarm where a peer waits for ever.
    seconds = int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(10 * seconds)
    peer = PEERS[sys.argv[1]]
    answers = []
    for series in json.load(sys.stdin):
        try:
            scores = peer(series["seconds"], series["values"], series["probation"])
        except ImportError:
            sys.exit(3)
        answers.append([float(score) if math.isfinite(score) else None for score in scores])
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
