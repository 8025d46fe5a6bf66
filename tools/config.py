"""Write config/config.yaml from the code that reads it: `python tools/config.py` (or `make config`)."""

from pathlib import Path

from evenkeel.config import document

if __name__ == "__main__":
    target = Path(__file__).resolve().parents[1] / "config" / "config.yaml"
    target.write_text(document(), encoding="utf-8")
    print(f"wrote {target.name}")
