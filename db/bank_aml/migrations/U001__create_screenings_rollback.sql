DROP TABLE aml.screening_matches;
DROP TABLE aml.screenings;
