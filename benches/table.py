"""The table that the scripts of an area print, and the same as JSON: one row for each peer."""

import json
import pathlib


class Table:
    def __init__(self, area):
        self.area = area
        self.rows = []

    def add(self, case, unit, covet, peer, peer_value, samples):
        """Adds a row and prints it. Above 1 the ratio says by how much Covet is ahead. A peer called `floor` is what the machine allows."""
        row = {"area": self.area, "case": case, "unit": unit, "covet": round(covet, 4), "peer": peer}
        row |= {"peer_value": round(peer_value, 4), "ratio": round(peer_value / covet, 4), "samples": samples}
        if not self.rows or self.rows[-1]["case"] != case:
            print(f"\n{case}\n  {'covet':28} {covet:10.2f} {unit}")
        self.rows.append(row)
        mark = "  behind" if row["ratio"] < 1 and not peer.startswith("floor") else ""
        print(f"  {peer:28} {peer_value:10.2f} {unit}  {row['ratio']:8.2f} x{mark}", flush=True)

    def write(self, file):
        pathlib.Path(file).write_text(json.dumps(self.rows, indent=2) + "\n")
