CREATE SCHEMA millpond;
