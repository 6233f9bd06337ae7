"""What each verb and each button does, a module for each kind of them."""
