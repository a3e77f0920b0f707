"""What is measured of a gradient: one small file for each measure, none of which writes or decides."""
