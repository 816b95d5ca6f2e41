// Opens what colvi-edge leaves beside a segmented image, as a user would, and prints what ImageJ then holds.
// Argument: labels, ROI zip, OME-TIFF and objects' table, with "|" between them.

paths = split(getArgument(), "|");
setBatchMode(true);

open(paths[0]);
getPixelSize(unit, pixelWidth, pixelHeight);
getMinAndMax(darkest, brightest);
print("labels\t" + getWidth() + "\t" + getHeight() + "\t" + nSlices + "\t" + bitDepth() + "\t" + pixelWidth + "\t"
  + unit + "\t" + darkest + "\t" + brightest);
getLut(reds, greens, blues);
for (i = 0; i < 4; i++)
  print("lut\t" + reds[i] + "\t" + greens[i] + "\t" + blues[i]);

roiManager("open", paths[1]);
for (i = 0; i < roiManager("count"); i++) {
  roiManager("select", i);
  // Of the labels below it: a ROI that is its object covers all of its pixels, and no other.
  getRawStatistics(pixels, mean, least, most);
  getStatistics(area);
  print("roi\t" + RoiManager.getName(i) + "\t" + pixels + "\t" + least + "\t" + most + "\t" + area + "\t"
    + getSliceNumber() + "\t" + Roi.getStrokeColor + "\t" + Roi.getProperty("label") + "\t"
    + Roi.getProperty("class"));
}

roiManager("reset");
open(paths[2]);
run("To ROI Manager");
for (i = 0; i < roiManager("count"); i++) {
  roiManager("select", i);
  getRawStatistics(pixels);
  print("overlay\t" + RoiManager.getName(i) + "\t" + pixels);
}

Table.open(paths[3]);
for (row = 0; row < Table.size; row++)
  print("row\t" + Table.get("label", row) + "\t" + Table.get("area_px", row) + "\t"
    + d2s(Table.get("diameter_um", row), 9) + "\t" + Table.getString("class", row));
