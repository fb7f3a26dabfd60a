"""Networks of the course, written as a student would write them: no thought of the server that will run them."""
