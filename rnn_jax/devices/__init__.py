"""Arrays that are split over devices."""
