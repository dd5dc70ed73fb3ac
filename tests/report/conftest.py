"""The modules beside the tests (`report_samples`, `headless_chromium`) can be imported by name."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
