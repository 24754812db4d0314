-- The database of users and permissions. PostgreSQL's image runs this file when it creates its volume.
CREATE DATABASE auth;
