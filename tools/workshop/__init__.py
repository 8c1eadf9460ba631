"""Editions of the lessons for a room: for students, for instructors, slides, handouts, grading."""
