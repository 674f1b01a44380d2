DROP TABLE kyc.identity_verifications;
DROP TABLE kyc.identity_documents;
DROP TABLE party.parties;
