DROP TABLE credit.facilities;
DROP TABLE credit.applications;
