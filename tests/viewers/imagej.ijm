// Opens what colvi-edge leaves beside an image, as a user would, and prints what ImageJ then holds.
// Argument: overlay PNG, ROI zip, OME-TIFF and patch table, with "|" between them.

paths = split(getArgument(), "|");
setBatchMode(true);

open(paths[0]);
printImage();
roiManager("open", paths[1]);
printRois("zip");

roiManager("reset");
open(paths[2]);
printImage();
for (slice = 1; slice <= nSlices; slice++) {
  setSlice(slice);
  getStatistics(area, mean);
  print("slice\t" + getInfo("slice.label") + "\t" + mean);
}
run("To ROI Manager");
printRois("overlay");

Table.open(paths[3]);
for (row = 0; row < Table.size; row++)
  print("row\t" + Table.get("minx", row) + "\t" + Table.get("miny", row) + "\t"
    + d2s(Table.get("prob_control", row), 9) + "\t" + Table.getString("band", row));

function printImage() {
  getPixelSize(unit, pixelWidth, pixelHeight);
  print("image\t" + getWidth() + "\t" + getHeight() + "\t" + nSlices + "\t" + bitDepth() + "\t"
    + pixelWidth + "\t" + unit);
}

function printRois(from) {
  for (i = 0; i < roiManager("count"); i++) {
    roiManager("select", i);
    getSelectionBounds(x, y, width, height);
    print("roi\t" + from + "\t" + RoiManager.getName(i) + "\t" + x + "\t" + y + "\t" + width + "\t" + height
      + "\t" + Roi.getStrokeColor + "\t" + Roi.getGroup + "\t" + Roi.getProperty("p_control")
      + "\t" + Roi.getProperty("vote") + "\t" + Roi.getProperty("band"));
  }
}
