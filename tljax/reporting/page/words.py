"""Names and numbers of metrics as people write them."""

from tljax.reporting import terminal

NAMES = {
    "r2": "R²", "mse": "mean squared error", "mae": "mean absolute error", "pearson": "Pearson correlation",
    "spearman": "Spearman correlation", "f1_macro": "macro F1", "f1_micro": "micro F1", "mcc": "MCC",
    "auroc": "ROC-AUC", "mean_iou": "mean IoU", "boundary_f1": "boundary F1", "loss": "loss",
    "hamming_accuracy": "Hamming accuracy",
}  # fmt: skip
SHARES = ("accuracy", "subset_accuracy", "mean_iou", "mean_average_precision")  # shown in percent


def metric(name: str) -> str:
    """A metric's name; of "r2/price", which is one of several targets, "R², price"."""
    known, _, target = name.partition("/")
    return ", ".join([NAMES.get(known, known.replace("_", " ")), *([target] if target else [])])


def value(found: float, name: str) -> str:
    """The value of the metric of this name: "93.8 %", or "0.4922"."""
    return f"{100 * found:.1f} %" if name in SHARES else number(found)


def number(found: float) -> str:
    """As in the terminal, but with fewer digits from 10 on: "0.4922", "29.06", "1,765"."""
    size = abs(found)
    if isinstance(found, int) or size < 10 or size >= 1e9:
        return terminal.number(found)
    return f"{found:.2f}" if size < 1000 else f"{found:,.0f}"
